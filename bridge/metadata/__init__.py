"""Reads the workflows that ComfyUI writes into the files it saves: pictures, videos and sounds."""
