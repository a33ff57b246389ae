"""Tests of the scripted server, through the real SDK over a real socket."""
