# frozen_string_literal: true

require_relative "handle"

module Encke
  # A publisher through libencke's `encke_connect`. See Publisher.
  class NativePublisher < Handle
    def initialize(address, library: nil, backend: nil)
      library = Native.load(library, backend: backend)
      super(library, library.connect_to(address))
    end

    # Waits until what was published is taken, and ends the connection. A second call does nothing.
    def close(timeout = 5)
      flush(timeout) unless @stopped
      nil
    ensure
      release(timeout)
    end
  end
end
