# frozen_string_literal: true

require "ffi"

module Encke
  module Native
    # libencke through the `ffi` gem: the quick way.
    module FFI
      # A handle travels as a number: cheaper than a pointer object, and the library takes any.
      TYPES = {
        handle: :size_t, bytes: :buffer_inout, size: :size_t, byte: :uint8, int: :int32, question: :uint64,
        count: :ssize_t, text: :string, void: :void,
      }.freeze

      def self.open(path)
        Module.new do
          extend ::FFI::Library
          ffi_lib path
          SIGNATURES.each do |name, (arguments, result)|
            attach_function name, "encke_#{name}", TYPES.values_at(*arguments), TYPES.fetch(result), blocking: BLOCKING.include?(name)
          end
          extend Calls

          def self.bytes_at(address, size)
            ::FFI::Pointer.new(address).read_bytes(size)
          end
        end
      end
    end
  end
end
