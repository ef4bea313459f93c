"""What the commands of the network do: train, evaluate, predict, export."""
