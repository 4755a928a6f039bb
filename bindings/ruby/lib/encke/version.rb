# frozen_string_literal: true

module Encke
  # The gem's version: that of the server it was made with.
  VERSION = "0.1.0"

  # The C interface that the gem speaks. A library that speaks another one is not used.
  ABI_VERSION = 1
end
