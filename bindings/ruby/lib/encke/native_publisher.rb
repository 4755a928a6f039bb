# frozen_string_literal: true

require_relative "handle"

module Encke
  # A publisher through libencke's `encke_connect`. See Publisher.
  class NativePublisher < Handle
    def initialize(address, library: nil, backend: nil)
      library = Native.load(library, backend: backend)
      super(library, library.connect_to(address))
    end

    # Waits until all that this process published before is taken by the server. Raises Undelivered if, since the last flush,
    # messages were refused or became doubtful; TimedOut if the server does not answer in time.
    def flush(timeout = 5)
      super
    rescue Invalid, Closed => error
      raise if @stopped

      raise Undelivered, error.message
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
