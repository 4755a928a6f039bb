# frozen_string_literal: true

require_relative "error"
require_relative "native"
require_relative "native_publisher"
require_relative "socket_publisher"

module Encke
  # Publishes to a server in another process, over its control socket.
  #
  #   publisher = Encke::Publisher.connect("unix:/run/encke.sock")
  #   publisher.publish("/chat/rome", "salve")
  #   publisher.flush
  #
  # A publisher is made once, and used by all threads and by all processes that are forked later.
  module Publisher
    # A publisher to the server at `address`. `via` is :native (libencke), :socket (Ruby alone), or :auto: libencke where
    # it is found. Further options go to the one that is chosen.
    def self.connect(address, via: :auto, **options)
      via = Native.find ? :native : :socket if via == :auto
      case via
      when :native then NativePublisher.new(address, **options)
      when :socket then SocketPublisher.new(address, **options)
      else raise ArgumentError, "via is :auto, :native or :socket, not #{via.inspect}"
      end
    end
  end
end
