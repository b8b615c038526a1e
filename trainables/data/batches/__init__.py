"""From annotated videos in three splits to the inputs of one pass, whether they are made of features or of frames.

``labelled`` is the base of every data set, ``passes`` what is asked of one, ``sampling`` says which parts of a video
are read, ``inputs`` plans them and makes their labels.
"""
