"""The app that `switchyard new app` copies; its name takes the place of the word skeleton."""
