# frozen_string_literal: true

require "socket"

module Encke
  # One connection to a control socket, made when it is needed and made anew after it broke, with growing pauses where that
  # keeps failing. Never blocks, except in `wait`. Not for several threads at once, except `wait`.
  class Stream
    PREFACE = "\0encke1\n".b.freeze
    # How long to wait after a failure: twice as long each time. A stream that lived longer than PAUSE_MAX resets that.
    PAUSE_MIN = 0.01
    PAUSE_MAX = 1.0
    READ_BYTES = 16 * 1024
    # How long a wait may be blind to what other threads do with the connection.
    LOOK_SECONDS = 0.25

    # Why it broke or could not be made, last time: an exception; nil if that never happened.
    attr_reader :failure

    def initialize(path)
      @address = Socket.sockaddr_un(path)
      @socket = nil
      @pause = 0
      @connect_after = @connected_at = 0
      @failure = nil
    end

    # Whether there is a connection; makes one, if it is time to try.
    def open?
      return true if @socket
      return false if now < @connect_after

      connect
    end

    # How many bytes the kernel took: 0 if it has no room now, nil if the stream broke or is not there.
    def write(bytes)
      return unless @socket || open?

      sent = @socket.write_nonblock(bytes, exception: false)
      sent == :wait_writable ? 0 : sent
    rescue SystemCallError => error
      failed(error)
    end

    # What has arrived, "" if nothing has, nil if the stream broke or is not there.
    def read
      return unless @socket

      bytes = @socket.read_nonblock(READ_BYTES, exception: false)
      return "" if bytes == :wait_readable
      return bytes if bytes

      failed(EOFError.new("the server closed the connection"))
    rescue SystemCallError => error
      failed(error)
    end

    # Waits until there is something to do, `seconds` at most: until it is readable, or `writable` if that is asked for too,
    # or until it is time to connect.
    def wait(seconds, writable:)
      seconds = seconds.clamp(0, LOOK_SECONDS)
      socket = @socket
      if socket
        IO.select([socket], writable ? [socket] : nil, nil, seconds)
      else
        sleep([seconds, @connect_after - now].min.clamp(0, LOOK_SECONDS))
      end
    rescue IOError, Errno::EBADF
      # Another thread found it broken and closed it.
    end

    # Ends the connection, and wakes whoever waits for it.
    def close
      @socket&.shutdown
    rescue SystemCallError
      # The other side was first.
    ensure
      release
    end

    # Lets go of a connection that belongs to the parent process.
    def release
      @socket&.close
      @socket = nil
    end

    private

    def connect
      socket = Socket.new(:UNIX, :STREAM)
      # A full backlog is an error here, not a wait.
      socket.connect_nonblock(@address)
      socket.write_nonblock(PREFACE)
      @connected_at = now
      @socket = socket
      true
    rescue SystemCallError => error
      socket&.close
      failed(error)
      false
    end

    def failed(error)
      @failure = error
      @pause = @socket && now - @connected_at > PAUSE_MAX ? 0 : (@pause * 2).clamp(PAUSE_MIN, PAUSE_MAX)
      @connect_after = now + @pause
      close
      nil
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
