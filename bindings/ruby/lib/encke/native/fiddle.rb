# frozen_string_literal: true

require "fiddle"

module Encke
  module Native
    # libencke through Ruby's own Fiddle: about ten times slower a call, and always there.
    class Fiddle
      include Calls

      TYPES = {
        handle: ::Fiddle::TYPE_UINTPTR_T, bytes: ::Fiddle::TYPE_VOIDP, size: ::Fiddle::TYPE_SIZE_T, byte: ::Fiddle::TYPE_CHAR,
        int: ::Fiddle::TYPE_INT, question: -::Fiddle::TYPE_LONG_LONG, count: ::Fiddle::TYPE_SSIZE_T,
        text: ::Fiddle::TYPE_CONST_STRING, void: ::Fiddle::TYPE_VOID,
      }.freeze

      def self.open(path)
        new(::Fiddle.dlopen(path))
      rescue ::Fiddle::DLError => error
        raise LoadError, error.message
      end

      SIGNATURES.each_key do |name|
        define_method(name) { |*arguments| @functions[name].call(*arguments) }
      end

      def initialize(library)
        @functions = SIGNATURES.to_h do |name, (arguments, result)|
          types = TYPES.values_at(*arguments)
          [name, ::Fiddle::Function.new(library["encke_#{name}"], types, TYPES.fetch(result), need_gvl: !BLOCKING.include?(name))]
        end
      end

      def bytes_at(address, size)
        ::Fiddle::Pointer.new(address)[0, size]
      end
    end
  end
end
