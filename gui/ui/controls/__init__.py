"""What leads a picture: ControlNets with their control pictures."""
