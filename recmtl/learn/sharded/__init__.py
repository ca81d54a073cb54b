"""Tables that no process holds whole: TorchRec lays rows out over a group and updates them there."""
