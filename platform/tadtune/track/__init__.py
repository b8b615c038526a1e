"""Run identity, trial records, provenance and MLflow. The record of a trial (its folder) is the truth."""
