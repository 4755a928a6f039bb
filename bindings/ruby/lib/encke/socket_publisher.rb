# frozen_string_literal: true

require_relative "channel"
require_relative "error"
require_relative "frames"
require_relative "outbox"
require_relative "stream"

module Encke
  # A publisher in Ruby alone: writes frames to the control socket and waits for no reply. See Publisher.
  #
  # - It connects anew when the stream broke. Until it can, and while the server is too busy to read, messages wait in a
  #   bounded buffer that a thread empties; no room there is Full.
  # - A message that went into a stream which broke before a `flush` confirmed it is doubtful. It is not sent again, since it
  #   may have arrived: `flush` reports how many there are.
  # - In a forked process it starts anew, with a connection of its own. What waits is the parent's to send.
  #
  # Threads: @lock guards all state, see `alone`. @flushing is held by the one thread that flushes, and taken before @lock.
  class SocketPublisher
    BUFFER_BYTES = 8 << 20
    # How many messages `publish_many` hands over at once.
    BATCH_MESSAGES = 256
    # How long the end of the process waits for the server to take what is left.
    EXIT_SECONDS = 2
    UNINTERRUPTED = { Object => :never }.freeze
    FORKED = Mutex.new
    OPEN = ObjectSpace::WeakMap.new
    private_constant :UNINTERRUPTED, :FORKED, :OPEN

    at_exit { OPEN.each_key { |publisher| publisher.finish(EXIT_SECONDS) } }

    # A flush on its way: confirms the first `mark` messages once it is :answered; :lost if the stream broke before.
    Ask = Struct.new(:mark, :state)
    private_constant :Ask

    # `address` is "unix:" and a path; `buffer_bytes` bounds what may wait. Raises SystemFailure if nobody listens there.
    def initialize(address, buffer_bytes: BUFFER_BYTES)
      @path = address[/\Aunix:(.+)\z/m, 1] or raise Invalid, "an address is unix: and a path, not #{address.inspect}"
      @buffer_bytes = buffer_bytes
      @closed = false
      start_anew
      refused = @stream.failure unless @stream.open?
      raise SystemFailure, "#{@path}: #{refused.message}" if refused && !(Errno::EAGAIN === refused)

      OPEN[self] = true
    rescue ArgumentError => error
      # The path is longer than the system takes.
      raise SystemFailure, error.message
    end

    # Publishes `data` on `channel`: a String as it is, anything else as JSON. Returns true, or raises.
    def publish(channel, data, event: nil, content_type: nil)
      take(Frames.frame(channel, data, event, content_type), 1) or raise Full, "the buffer is full"
    end

    # Publishes all `messages` on `channel`, in order. Returns how many were taken, from the front: fewer than there are
    # where there was no room for the rest.
    def publish_many(channel, messages, event: nil, content_type: nil)
      take_in_batches(messages.to_a) { |batch| Frames.frames(channel, batch, event, content_type) }
    end

    # Publishes [channel, data] pairs, in order. Returns how many were taken, like `publish_many`.
    def publish_pairs(pairs)
      take_in_batches(pairs.to_a) { |batch| Frames.pairs(batch) }
    end

    # A Channel to publish to without naming it each time.
    def channel(name)
      Frames.check(name)
      Channel.new(self, name)
    end

    # Waits until all that this process published before is taken by the server. Raises Undelivered if, since the last flush,
    # messages were refused or became doubtful; TimedOut if the server does not answer in time.
    def flush(timeout = 5)
      after_fork if Process.pid != @pid
      deadline = timeout ? now + timeout : Float::INFINITY
      @flushing.synchronize do
        await_answer(deadline)
        report
      end
    end

    # Waits until what was published is taken, and ends the connection. A second call does nothing.
    def close(timeout = 5)
      after_fork if Process.pid != @pid
      flush(timeout) unless @closed || idle?
      nil
    ensure
      @closed = true
      alone do
        @stream.close
        lost
      end
    end

    # At the end of the process: sends what is left, and says so if that fails.
    def finish(timeout) # :nodoc:
      close(timeout) if @pid == Process.pid
    rescue Error => error
      warn "encke: #{@path}: #{error.message}"
    end

    private

    def start_anew
      @lock = Mutex.new
      @flushing = Mutex.new
      @outbox = Outbox.new(@buffer_bytes)
      @stream = Stream.new(@path)
      @sender = nil
      @asks = {}
      @asked = 0
      @replies = String.new
      @doubtful = @refused = 0
      @refusal = nil
      @pid = Process.pid
    end

    def after_fork
      FORKED.synchronize do
        next if Process.pid == @pid

        @stream.release
        start_anew
      end
    end

    # Runs the block with all state to itself. No other thread's exception may cut in (Timeout raises anywhere): between a write
    # and its being noted, nobody would know where in a frame the stream stands.
    def alone
      Thread.handle_interrupt(UNINTERRUPTED) { @lock.synchronize { yield } }
    end

    # Takes `frames` of `count` messages: true, or false if there is no room.
    def take(frames, count)
      after_fork if Process.pid != @pid
      raise Closed, "closed" if @closed

      alone do
        next false unless @outbox.room?(frames.bytesize, count)

        # Where nothing waits, they go past the buffer in one system call.
        sent = @outbox.empty? ? @stream.write(frames) : 0
        lost unless sent
        @outbox.put(frames, count, sent || 0)
        unless @outbox.empty?
          send_waiting if sent.nil? || @outbox.full?
          start_sender unless @sender&.alive?
        end
        true
      end
    end

    # Takes as many messages as there is room for, a batch at a time and the last ones singly; the block makes frames.
    def take_in_batches(messages, &frames)
      taken = 0
      messages.each_slice(BATCH_MESSAGES) do |batch|
        next taken += batch.size if take(frames.call(batch), batch.size)

        return taken + batch.take_while { |message| take(frames.call([message]), 1) }.size
      end
      taken
    end

    # Gives the kernel what it takes of what waits. Holds @lock, like all below that touch the stream.
    def send_waiting
      until @outbox.empty?
        sent = @stream.write(@outbox.offer)
        return lost unless sent
        return if sent.zero?

        @outbox.sent(sent)
      end
    end

    # The stream broke, or there is none: what it may have swallowed is doubtful, what was asked on it gets no answer.
    # Must follow each failure of the stream before anything else is written.
    def lost
      @doubtful += @outbox.broken
      @asks.each_value { |ask| ask.state = :lost }
      @asks.clear
      @replies = String.new
    end

    # A thread takes over what is masked where it is made: this one has to end when the process does.
    def start_sender
      @sender = Thread.new { Thread.handle_interrupt(Object => :immediate) { send_later } }
    end

    # What the thread does: it sends what waits, while something does.
    def send_later
      until done_sending?
        @stream.wait(Float::INFINITY, writable: true)
      end
    end

    def done_sending?
      alone do
        send_waiting
        done = @outbox.empty? || @closed
        @sender = nil if done
        done
      end
    end

    # Sends a flush, again where the stream breaks, until one is answered.
    def await_answer(deadline)
      ask = nil
      loop do
        raise Closed, "closed" if @closed

        alone do
          ask = current_ask if ask.nil? || ask.state == :lost
          send_waiting
          read_replies
        end
        return if ask.state == :answered

        rest = deadline - now
        raise TimedOut, "no answer from #{@path}#{@stream.failure && ": #{@stream.failure.message}"}" if rest <= 0

        @stream.wait(rest, writable: !@outbox.empty?)
      end
    end

    # A flush behind all that was accepted: one that is on its way already, or a new one.
    def current_ask
      last = @asks.values.last
      return last if last && last.mark == @outbox.accepted

      token = [@asked += 1].pack("Q")
      @outbox.put(Frames.flush(token), 0)
      @asks[token] = Ask.new(@outbox.accepted, :waiting)
    end

    def read_replies
      until (bytes = @stream.read) == ""
        return lost unless bytes

        @replies << bytes
        @replies = Frames.replies(@replies) { |*reply| answered(*reply) }
      end
    end

    def answered(token, refused, refusal)
      @refused += refused
      @refusal ||= refusal
      ask = @asks.delete(token) or return
      ask.state = :answered
      @outbox.confirm(ask.mark)
    end

    # Raises if messages were refused or became doubtful since the last report.
    def report
      refused, doubtful, refusal = alone do
        [@refused, @doubtful, @refusal].tap do
          @refused = @doubtful = 0
          @refusal = nil
        end
      end
      return true if refused.zero? && doubtful.zero?

      because = refusal && " (the first: #{refusal})"
      raise Undelivered, "#{refused} messages were refused#{because}, #{doubtful} may or may not have arrived"
    end

    def idle?
      alone { @outbox.confirmed? && @doubtful.zero? && @refused.zero? }
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
