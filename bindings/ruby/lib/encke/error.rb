# frozen_string_literal: true

# What can go wrong, as exceptions. Each has the stable code of the C interface; a code that this gem does not know yet is
# a plain Encke::Error with that code.
module Encke
  # All errors of this gem.
  class Error < StandardError
    # The code of errors that only this gem knows.
    CODE = 0

    # The stable code, negative; 0 for errors that do not come out of the C interface.
    attr_reader :code

    def initialize(message = nil, code: self.class::CODE)
      super(message)
      @code = code
    end

    # The error for `code`, with `detail` for people.
    def self.from_code(code, detail)
      kind = BY_CODE[code]
      kind ? kind.new(detail) : new("#{detail} (code #{code})", code: code)
    end
  end

  # The system refused something: an address in use, a socket that is not there.
  class SystemFailure < Error
    CODE = -5
  end

  # The server was started before this process was forked: publish through the control socket here.
  class Forked < Error
    CODE = -10
  end

  # No room: nothing was taken. Try again shortly, or `flush` and then try again.
  class Full < Error
    CODE = -11
  end

  # An argument is not acceptable: a channel name, a content type, an answer to no question.
  class Invalid < Error
    CODE = -22
  end

  # Stopped or closed.
  class Closed < Error
    CODE = -32
  end

  # An option is unknown, or its value is out of bounds. The text names option, value and bound.
  class BadOption < Error
    CODE = -78
  end

  # The library broke an invariant of its own. Only `stop` still does something.
  class Panicked < Error
    CODE = -99
  end

  # What was waited for did not happen in time.
  class TimedOut < Error
    CODE = -110
  end

  # The native library is missing, or is not the one that this gem needs.
  class NoLibrary < Error
  end

  # A flush found messages that were refused, or that may or may not have arrived. The text says how many, and why.
  class Undelivered < Error
  end

  class Error
    BY_CODE = [SystemFailure, Forked, Full, Invalid, Closed, BadOption, Panicked, TimedOut].to_h { |kind| [kind::CODE, kind] }.freeze
    private_constant :BY_CODE
  end
end
