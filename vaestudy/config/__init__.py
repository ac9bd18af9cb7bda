"""What a run is: its configuration, validated once, and the registries of the parts that it names."""
