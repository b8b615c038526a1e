"""TGM (Piergiovanni and Ryoo 2019) with super-events: per-frame classes through temporal Gaussian mixture layers."""
