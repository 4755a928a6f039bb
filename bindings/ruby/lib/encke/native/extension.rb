# frozen_string_literal: true

require "encke/native/calls"

module Encke
  module Native
    # libencke through functions in C, where they could be built: those that publish. The rest, which are not called that often,
    # go through `rest`, which is the library through the `ffi` gem or Fiddle.
    class Extension
      include Calls

      def initialize(path, rest)
        open_library(path)
        @rest = rest
      end

      (SIGNATURES.keys - instance_methods(false)).each do |name|
        define_method(name) { |*arguments| @rest.public_send(name, *arguments) }
      end

      def bytes_at(address, size)
        @rest.bytes_at(address, size)
      end
    end
  end
end
