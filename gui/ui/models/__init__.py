"""The models a person has."""
