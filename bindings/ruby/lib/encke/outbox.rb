# frozen_string_literal: true

require_relative "frames"

module Encke
  # Frames on their way into a stream: what the kernel has not taken yet, and how many messages nobody has confirmed.
  # Bounded; knows where frames begin, so that after a break it can tell what was sent from what was not. No I/O.
  #
  #   accepted = confirmed + under way + waiting
  #
  # under way: handed to the kernel as a whole or in part; waiting: still here as a whole.
  class Outbox
    # A piece of the buffer that is offered to the kernel at once.
    PIECE_BYTES = 256 * 1024

    # How many messages were accepted, ever.
    attr_reader :accepted

    def initialize(bytes_max)
      @bytes_max = bytes_max
      @buffer = String.new
      @sent = 0
      @accepted = 0
      @confirmed = 0
    end

    def empty?
      @buffer.empty?
    end

    # Whether `count` messages of `size` bytes may wait here. A single one has room in an empty box, whatever its size.
    def room?(size, count)
      @buffer.bytesize - @sent + size <= @bytes_max || (count == 1 && @buffer.empty?)
    end

    # Takes `count` messages as whole frames, of which the kernel has got the first `sent` bytes already.
    def put(frames, count, sent = 0)
      @accepted += count
      return if sent == frames.bytesize

      compact if @sent > @bytes_max
      @sent += sent if @buffer.empty?
      @buffer << (frames.encoding == Encoding::BINARY ? frames : frames.b)
    end

    # The bytes to send next.
    def piece
      @buffer.byteslice(@sent, PIECE_BYTES)
    end

    # The kernel has taken `bytes` of them.
    def sent(bytes)
      @sent += bytes
      return if @sent < @buffer.bytesize

      @buffer = String.new
      @sent = 0
    end

    # The server has taken the first `accepted` messages, or has said that it refuses them.
    def confirm(accepted)
      @confirmed = accepted if accepted > @confirmed
    end

    # Whether the server has confirmed all.
    def confirmed?
      @confirmed == @accepted
    end

    # The stream broke: keeps the messages that it got nothing of, for the next one. Returns how many are doubtful. One that
    # was cut off counts as doubtful too, although the server drops it: it may be why the stream broke, and would break the next.
    def broken
      kept = String.new
      waiting = 0
      Frames.each(@buffer) do |offset, size, message|
        next if offset < @sent || !message

        kept << @buffer.byteslice(offset, size)
        waiting += 1
      end
      @buffer = kept
      @sent = 0
      doubtful = @accepted - waiting - @confirmed
      @confirmed = @accepted - waiting
      doubtful
    end

    private

    # Forgets the frames that were sent as a whole.
    def compact
      start = 0
      Frames.each(@buffer) do |offset, _size, _message|
        break if offset > @sent

        start = offset
      end
      @buffer = @buffer.byteslice(start..)
      @sent -= start
    end
  end
end
