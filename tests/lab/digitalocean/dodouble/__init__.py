"""A double of DigitalOcean's API, held to the vendor's own document."""
