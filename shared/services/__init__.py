"""The services: the flow from finding users to granting, without HTTP or protobuf."""
