"""What is there to convert: checkpoints, LoRAs and ControlNets, read without trusting them."""
