"""The topics of the five lectures, a file per part of the field."""
