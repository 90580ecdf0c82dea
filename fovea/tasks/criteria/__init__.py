"""What dense outputs are trained with: functions of outputs and targets that return a scalar."""
