"""What a new study would see: functions from fits to tables."""
