#include <algorithm>

#include <tapegrad/nn/data/csv_rows.h>

#include <fmt/format.h>

namespace tapegrad::nn::csv {

namespace {

/// Line ends in a text; CR LF is one.
std::int64_t count_line_ends(std::string_view text) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    count += text[i] == '\n' || (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n'));
  return count;
}

}  // namespace

std::string Field::text() const {
  std::string text(raw);
  if (!doubled) return text;
  std::size_t end = 0;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    text[end++] = raw[i];
    if (raw[i] == '"') ++i;
  }
  text.resize(end);
  return text;
}

std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 40;
  std::string shown = "'";
  for (const char c : text.substr(0, kMost)) {
    const auto byte = static_cast<unsigned char>(c);
    shown += byte < 0x20 || byte == 0x7f ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  // A character of UTF-8 is not cut: the bytes that go on with it are 10xxxxxx.
  if (text.size() > kMost) {
    std::size_t end = kMost;
    while (end < text.size() && end < kMost + 3 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
      shown += text[end++];
    shown += "...";
  }
  return shown + "'";
}

std::string content_of(InputFile& file) {
  std::string text(file.size(), '\0');
  file.read(text.data(), text.size());
  using namespace std::string_view_literals;
  for (const std::string_view mark : {"\xff\xfe"sv, "\xfe\xff"sv, "\0\0\xfe\xff"sv})
    if (text.starts_with(mark)) file.fail("is encoded as UTF-16 or UTF-32; save it as UTF-8");
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  return text;
}

bool Rows::next() {
  fields_.clear();
  for (;;) {
    row_begin_ = at_;
    row_line_ = line_;
    skip_blanks();
    if (at_ == text_.size()) return false;
    if (!at_line_end()) break;
    skip_line_end();
  }
  for (;;) {
    if (fields_.size() == kMostFields)
      fail(
          fmt::format("has more than {} fields; is {} the delimiter?", kMostFields, shown({&delimiter_, 1})));
    skip_blanks();
    const bool quoted = at_ < text_.size() && text_[at_] == '"';
    fields_.push_back(quoted ? quoted_field() : plain_field());
    if (at_line_end()) break;
    ++at_;  // the delimiter
  }
  if (at_ < text_.size()) skip_line_end();
  return true;
}

void Rows::skip_blanks() {
  while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
}

void Rows::skip_line_end() {
  if (text_[at_] == '\r' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') ++at_;
  ++at_;
  ++line_;
}

Field Rows::quoted_field() {
  const std::size_t quote = at_;
  Field field{{}, true, false};
  std::size_t end = quote;
  for (;;) {
    end = text_.find('"', end + 1);
    if (end == std::string_view::npos)
      fail_at(quote,
              "starts with a quote that is never closed: close it, or write a quote that belongs to the "
              "text as two, within quotes");
    if (end + 1 == text_.size() || text_[end + 1] != '"') break;
    field.doubled = true;
    ++end;
  }
  field.raw = text_.substr(quote + 1, end - quote - 1);
  if (field.raw.find('\0') != std::string_view::npos) fail_at(quote, "holds a byte 0, which no text has");
  line_ += count_line_ends(field.raw);
  at_ = end + 1;
  skip_blanks();
  if (!at_line_end() && text_[at_] != delimiter_)
    fail_at(quote, fmt::format("goes on behind its closing quote with {}, expected the delimiter {} or the "
                               "end of the line; a quote that belongs to the text is written as two",
                               shown(text_.substr(at_, 1)), shown({&delimiter_, 1})));
  return field;
}

Field Rows::plain_field() {
  const std::size_t begin = at_;
  for (; !at_line_end() && text_[at_] != delimiter_; ++at_) {
    if (text_[at_] == '"')
      fail_at(begin,
              "has a quote within a field that does not start with one: write the field within quotes, and "
              "this quote as two");
    if (text_[at_] == '\0')
      fail_at(begin, "holds a byte 0, which no text has; if the file is encoded as UTF-16, save it as UTF-8");
  }
  std::size_t end = at_;
  while (end > begin && is_blank(text_[end - 1])) --end;
  return {text_.substr(begin, end - begin), false, false};
}

void Rows::fail(std::size_t field, std::string_view name, std::string_view what) const {
  const std::string_view raw = fields_[field].raw;
  const auto begin = static_cast<std::size_t>(raw.data() - text_.data());
  const std::int64_t line = row_line_ + count_line_ends(text_.substr(row_begin_, begin - row_begin_));
  file_.fail(fmt::format("line {}, column {}{} {}", line, field + 1,
                         name.empty() ? "" : fmt::format(" ({})", shown(name)), what));
}

void Rows::fail(std::string_view what) const { file_.fail(fmt::format("line {} {}", row_line_, what)); }

void Rows::fail_at(std::size_t position, std::string_view what) const {
  const std::int64_t line = row_line_ + count_line_ends(text_.substr(row_begin_, position - row_begin_));
  file_.fail(fmt::format("line {}, column {} {}", line, fields_.size() + 1, what));
}

}  // namespace tapegrad::nn::csv
