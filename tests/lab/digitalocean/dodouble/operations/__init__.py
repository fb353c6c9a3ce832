"""The operations of the API, a file for each kind of thing; they have their names in the vendor's document."""
