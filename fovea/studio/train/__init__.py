"""The room "Train": trainings are begun, steered and looked at while they learn."""
