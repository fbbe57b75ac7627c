"""Formulas in LaTeX as MathML, which browsers draw without any help."""

import re

from latex2mathml.converter import convert


def mathml(formula, display="inline"):
    """A formula in LaTeX as MathML; `display` is "inline" or "block"."""
    math = convert(formula, display=display)
    # A prime is drawn raised already: as an exponent it would fly off.
    prime = r"<msup>(<mi>\w</mi>)<mi>(&#x02032;)</mi></msup>"
    math = re.sub(prime, r'<mrow>\1<mo lspace="0" rspace="0">\2</mo></mrow>', math)
    # Bars of a norm are as high as letters, also where an exponent stands beside one of them.
    math = math.replace("<mo>&#x02016;</mo>", '<mo stretchy="false">&#x02016;</mo>')
    # The name of a function keeps a little room to its left.
    return re.sub(r"<mi>[a-z]{2,}</mi>", r'<mspace width="0.167em"/>\g<0>', math)
