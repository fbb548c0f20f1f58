"""The services: how a run is built, jobs are worked, a page is refreshed. The flow, without HTTP or protobuf."""
