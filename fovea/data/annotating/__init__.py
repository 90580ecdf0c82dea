"""What a person says of images one by one, kept in files that trainings read: lists, and annotations as COCO's."""
