"""Online adversarial erasing as an auxiliary task for hosts with a class activation sequence."""
