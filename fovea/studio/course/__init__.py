"""The room "Course"."""
