"""What may identify a person: found before anything is shown or exported, values never repeated."""
