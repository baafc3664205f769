"""W&B dashboards as code: a workspace and a report of a study, made from what its runs log.

`sections` says which panels there are, in our words; `workspace` and `document` put them into wandb-workspaces';
`references` reads back which keys a finished spec refers to; `push` alone needs a server.
"""
