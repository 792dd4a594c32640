"""The API of A1111's Stable Diffusion web UI, as its documentation has it and programs use it.

What a request asks for beyond what there is here is named in the answer's ``info``, under
``ignored``; it never goes unsaid.
"""
