complete --keep-order --exclusive --command sgw --arguments "(COMPLETE=fish sgw -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
