def registry(environ):
    return None
