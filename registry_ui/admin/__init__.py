"""The admin area: registry token, users, health, unassigned repositories, audit."""
