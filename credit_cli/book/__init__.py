"""A synthetic book of loans for any product, with the truth kept aside.

``plan`` says what book; ``generate`` writes it, through ``files``. ``world`` draws it chunk by
chunk: ``keys`` of people and places, ``values`` month by month, ``deliveries`` that are late,
corrected or missing, ``knowledge`` of an instant, ``risk`` as it truly is.
"""
