"""KT-MGFN: weakly supervised detection with dilated branches, adversarial erasing and boundary regression."""
