"""The main loop and all that drives it: engine, api, resume, callbacks, batch, doctor."""
