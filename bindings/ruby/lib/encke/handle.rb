# frozen_string_literal: true

require_relative "channel"
require_relative "frames"
require_relative "native"

module Encke
  # What a server in this process and a native connection to one have in common: publishing through a handle of libencke.
  # Safe from any thread. Publishing never blocks: where there is no room, nothing is taken and Full is raised.
  class Handle
    # 2^31 - 1 milliseconds stand for ever.
    WAIT_MS_MAX = 0x7fff_ffff

    def initialize(library, handle)
      @library = library
      @handle = handle
      @stopped = false
    end

    # Publishes `data` on `channel`: a String as it is, anything else as JSON. Returns true, or raises.
    def publish(channel, data, event: nil, content_type: nil)
      # The common case is kept short: what is checked here costs as much as the call.
      if event || content_type || !(String === data)
        frame = Frames.frame(channel, data, event, content_type)
        code = @library.publish_packed(@handle, frame, frame.bytesize)
        return true if code == 1

        code = Full::CODE if code.zero?
      else
        code = @library.publish(@handle, channel, channel.bytesize, data, data.bytesize)
        return true if code == 0
      end
      raise failure(code)
    rescue NoMethodError
      # Of a channel that is no String; the check says so.
      Frames.check(channel)
      raise
    end

    # Publishes all `messages` on `channel`, in order. Returns how many were taken, from the front: fewer than there are
    # where there was no room for the rest.
    def publish_many(channel, messages, event: nil, content_type: nil)
      messages = messages.to_a
      return 0 if messages.empty?

      Frames.check(channel)
      count = @library.publish_texts(@handle, channel, messages) unless event || content_type
      count ? taken(count) : publish_packed(Frames.frames(channel, messages, event, content_type))
    end

    # A Channel to publish to without naming it each time. Its name is checked, and it is found, once.
    def channel(name)
      Frames.check(name)
      NativeChannel.new(self, @library, name, opened(name))
    end

    # Publishes [channel, data] pairs, in order. Returns how many were taken, like `publish_many`.
    def publish_pairs(pairs)
      frames = Frames.pairs(pairs)
      frames.empty? ? 0 : publish_packed(frames)
    end

    # Waits until all that this process published before is taken by the server.
    def flush(timeout = 5)
      code = @library.flush(@handle, milliseconds(timeout))
      code.zero? ? true : raise(failure(code))
    end

    # The exception for `code`. A handle that was stopped here is closed, whatever the library makes of its number.
    def failure(code) # :nodoc:
      error = @library.error(code)
      @stopped ? Closed.new("stopped") : error
    end

    private

    def publish_packed(frames)
      taken(@library.publish_packed(@handle, frames, frames.bytesize))
    end

    def taken(count)
      return count unless count.negative?
      return 0 if count == Full::CODE

      raise failure(count)
    end

    def check(code)
      code.negative? ? raise(failure(code)) : code
    end

    def opened(name)
      @library.channel_of(@handle, name)
    rescue Error => error
      raise @stopped ? Closed.new("stopped") : error
    end

    def milliseconds(seconds)
      seconds ? (seconds * 1000).ceil.clamp(0, WAIT_MS_MAX) : WAIT_MS_MAX
    end

    # Gives the handle back, once.
    def release(timeout)
      return if @stopped

      @stopped = true
      code = @library.stop(@handle, milliseconds(timeout))
      raise @library.error(code) if code.negative?
    end
  end
end
