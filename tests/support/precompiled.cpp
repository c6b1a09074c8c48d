// A target needs a file to have a precompiled header.
