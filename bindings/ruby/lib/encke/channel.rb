# frozen_string_literal: true

module Encke
  # A channel of a server or a publisher, to publish to without naming it each time:
  #
  #   chat = server.channel("/chat/rome")
  #   chat << "salve" << { text: "salve" }
  #
  # It keeps its publisher, takes what that does, and is of use for as long. Its messages stand in one order with those that the
  # publisher is given.
  class Channel
    attr_reader :name

    def initialize(publisher, name) # :nodoc:
      @publisher = publisher
      @name = -name
    end

    # Publishes `data`: a String as it is, anything else as JSON. Returns true, or raises.
    def publish(data, event: nil, content_type: nil)
      @publisher.publish(@name, data, event: event, content_type: content_type)
    end

    # The same, and returns the channel.
    def <<(data)
      publish(data)
      self
    end

    # Publishes all `messages`, in order. Returns how many were taken, from the front.
    def publish_many(messages, event: nil, content_type: nil)
      @publisher.publish_many(@name, messages, event: event, content_type: content_type)
    end

    def inspect
      "#<#{self.class} #{name}>"
    end
  end

  # A channel that libencke holds open, so that a publish has a name less to hand over and to look for.
  class NativeChannel < Channel
    # Ends it with the object. Where the handle was stopped before, the library knows it no more, and says so to nobody.
    def self.closing(library, number)
      ->(_) { library.channel_close(number) }
    end

    def initialize(publisher, library, name, number) # :nodoc:
      super(publisher, name)
      @library = library
      @number = number
      ObjectSpace.define_finalizer(self, NativeChannel.closing(library, number))
    end

    def publish(data, event: nil, content_type: nil)
      return super if event || content_type || !(String === data)

      code = @library.channel_publish(@number, data, data.bytesize)
      return true if code == 0

      raise @publisher.failure(code)
    end
  end
end
