# frozen_string_literal: true

require_relative "frames"

module Encke
  # Frames on their way into a stream: what the kernel has not taken yet, and how many messages nobody has confirmed.
  # Bounded; knows where frames begin, so that after a break it can tell what was sent from what was not. No I/O.
  #
  #   accepted = confirmed + under way + waiting
  #
  # under way: handed to the kernel as a whole or in part; waiting: still here as a whole.
  #
  # The bytes stand in pieces of whole frames. The first one is sent from; the last one takes further frames until it is full or
  # was offered, so that nothing is copied that may yet grow.
  class Outbox
    # How large a piece grows. It is also how much is worth asking the kernel again.
    PIECE_BYTES = 64 * 1024

    # How many messages were accepted, ever.
    attr_reader :accepted

    def initialize(bytes_max)
      @bytes_max = bytes_max
      @pieces = []
      @growing = nil
      @sent = 0
      @bytes = 0
      @accepted = 0
      @confirmed = 0
    end

    def empty?
      @pieces.empty?
    end

    # Whether `count` messages of `size` bytes may wait here. A single one has room in an empty box, whatever its size.
    def room?(size, count)
      @bytes + size <= @bytes_max || (count == 1 && @pieces.empty?)
    end

    # Takes `count` messages as whole frames, of which the kernel has got the first `sent` bytes already.
    def put(frames, count, sent = 0)
      @accepted += count
      return if sent == frames.bytesize

      @bytes += frames.bytesize - sent
      return begin_with(frames, sent) if sent.positive?

      @pieces << (@growing = String.new) if @growing.nil? || full?
      @growing << frames
    end

    # Whether a piece has become full since one was offered.
    def full?
      @growing ? @growing.bytesize >= PIECE_BYTES : false
    end

    # The bytes to send next.
    def offer
      piece = @pieces.first
      @growing = nil if piece.equal?(@growing)
      @sent.zero? ? piece : piece.byteslice(@sent..)
    end

    # The kernel has taken `bytes` of what was offered.
    def sent(bytes)
      @sent += bytes
      @bytes -= bytes
      return if @sent < @pieces.first.bytesize

      @pieces.shift
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
      waiting = 0
      @pieces = @pieces.each_with_index.filter_map do |piece, index|
        kept, count = unsent(piece, index.zero? ? @sent : 0)
        waiting += count
        kept unless kept.empty?
      end
      @growing = nil
      @sent = 0
      @bytes = @pieces.sum(&:bytesize)
      doubtful = @accepted - waiting - @confirmed
      @confirmed = @accepted - waiting
      doubtful
    end

    private

    # Nothing waited, and a part of `frames` is sent already.
    def begin_with(frames, sent)
      @pieces << frames
      @sent = sent
    end

    # The messages of `piece` that begin behind its first `sent` bytes, and how many they are.
    def unsent(piece, sent)
      kept = String.new
      count = 0
      Frames.each(piece) do |offset, size, message|
        next if offset < sent || !message

        kept << piece.byteslice(offset, size)
        count += 1
      end
      [kept, count]
    end
  end
end
