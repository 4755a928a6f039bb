# frozen_string_literal: true

require "support"

# Messages as bytes, and what an outbox knows of them when a stream breaks.
class FramesTest < Minitest::Test
  Frames = Encke::Frames

  def test_a_frame_is_its_head_and_its_parts
    assert_equal "\x02\0\0\0\x03\0\0\0/axyz".b, Frames.frame("/a", "xyz")
    assert_equal "\x02\0\x01\x02\x03\0\0\0/ateexyz".b, Frames.frame("/a", "xyz", "ee", "t")
    assert_equal "\x02\0\x10\0\x02\0\0\0/aapplication/json[]".b, Frames.frame("/a", [])
    assert_equal "\0\0\x01\0\x08\0\0\0tokentok".b, Frames.flush("tokentok")
  end

  def test_all_ways_make_the_same_bytes
    [%w[a b], ["", "x"], ["é", "\xFF".b], ["é".encode("UTF-16BE")], [{}, "x"]].each do |messages|
      single = messages.map { |data| Frames.frame("/a", data) }.join
      assert_equal single, Frames.frames("/a", messages).b
      assert_equal single, Frames.pairs(messages.map { |data| ["/a", data] }).b
    end
  end

  def test_lines_are_made_only_where_they_can_be_told_apart
    assert_equal "a\nb", Frames.lines(%w[a b])
    assert_equal "a\n\n", Frames.lines(["a", ""])
    assert_equal "\n", Frames.lines([""])
    assert_nil Frames.lines(["a\n"])
    assert_nil Frames.lines(["a", 1])
    assert_nil Frames.lines(["é", "\xFF".b])
  end

  def test_names_are_those_of_the_server
    ["/a", "/chat/rome", "/café/ü", "/a b/c", "/...", "/a*", "/***", "/#{"x" * 254}"].each { |name| Frames.check(name) }
    ["", "a", "/", "//", "/a/", "/a//b", "/a/../b", "/.", "/*", "/a/**", "/a\0", "/a\n", "/\u2028", "/\u0085", "/\xFF", "/#{"x" * 255}"].each do |name|
      assert_raises(Encke::Invalid, name.inspect) { Frames.check(name) }
    end
  end

  def test_names_that_were_seen_are_not_kept_for_ever
    10_000.times { |number| Frames.check("/seen/#{number}") }
    assert_operator Frames.module_eval { const_get(:KNOWN) }.size, :<=, 4096
  end

  def test_replies_are_taken_whole
    one = [0, 1, 0, 12, "token--1", 0].pack("vCCVa8V")
    two = [0, 1, 0, 14, "token--2", 3].pack("vCCVa8V") + "{}"
    (0..one.bytesize + two.bytesize).each do |cut|
      seen = []
      rest = Frames.replies((one + two).byteslice(0, cut)) { |*reply| seen << reply }
      rest = Frames.replies(rest + (one + two).byteslice(cut..)) { |*reply| seen << reply }
      assert_equal [["token--1", 0, nil], ["token--2", 3, "{}"]], seen
      assert_empty rest
    end
  end

  # Whatever is cut off where: each message is confirmed, doubtful or kept, and none is two of these.
  def test_a_break_loses_count_of_nothing
    frames = Array.new(5) { |number| Frames.frame("/a", "x" * number) }
    total = frames.sum(&:bytesize)
    (0..total).each do |sent|
      outbox = Encke::Outbox.new(total)
      outbox.put(frames.first(2).join, 2)
      outbox.put(Frames.flush("12345678"), 0)
      outbox.put(frames.drop(2).join, 3)
      all = frames.first(2).join + Frames.flush("12345678") + frames.drop(2).join
      outbox.offer
      outbox.sent(sent)
      begun = count_begun(all, sent)
      outbox.confirm(1) if begun.positive?
      assert_equal [begun - 1, 0].max, outbox.broken, "sent #{sent}"
      assert_equal frames.drop(begun).join, outbox.empty? ? "" : outbox.offer
      assert_equal begun == 5, outbox.confirmed?
    end
  end

  def test_an_outbox_is_bounded_and_sends_in_order
    frames = Array.new(10_000) { |number| Frames.frame("/a", number.to_s * (number % 97)) }
    outbox = Encke::Outbox.new(100_000)
    assert outbox.room?(1_000_000, 1)
    refute outbox.room?(1_000_000, 2)
    sent = String.new
    frames.each_with_index do |frame, number|
      until outbox.room?(frame.bytesize, 1)
        piece = outbox.offer
        sent << piece.byteslice(0, 1 + number % piece.bytesize)
        outbox.sent(1 + number % piece.bytesize)
      end
      outbox.put(frame, 1)
      refute outbox.room?(1_000_000, 1)
    end
    until outbox.empty?
      sent << (piece = outbox.offer)
      outbox.sent(piece.bytesize)
    end
    assert_equal frames.join, sent
    assert_equal frames.size, outbox.accepted
  end

  private

  # How many messages of `all` have their first byte among the first `sent`.
  def count_begun(all, sent)
    begun = 0
    Frames.each(all) { |offset, _size, message| begun += 1 if message && offset < sent }
    begun
  end
end
