#include "tape.h"

#include <algorithm>
#include <map>
#include <set>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape_view.h>

#include <fmt/format.h>

namespace tapegrad::plot {

namespace {

using Node = TapeView::Node;
using Input = TapeView::Input;

constexpr double kBoxHeight = 38;   // of an operation: two lines
constexpr double kLeafHeight = 22;  // of a parameter or constant: one line
constexpr double kGap = 18;         // between rows, and around all
constexpr double kAcross = 36;      // between columns

struct Box {
  double x = 0, y = 0, width = 0, height = 0;  ///< x and y of its upper left corner
  double middle() const { return x + width / 2; }
  double bottom() const { return y + height; }
  double right() const { return x + width; }
};

class Drawing {
 public:
  Drawing(const Tape& tape, const TapeNames& names) : tape_(tape), names_(names) {
    for (const Node n : tape_)
      if (!n.is_leaf()) place_in_row(n);
    if (rows_.empty()) throw ArgumentError("plot: the tape has recorded no operation to draw");
  }

  Picture draw() {
    measure();
    double y = kGap;
    for (std::size_t r = 0; r < rows_.size(); ++r) y = lay_out(rows_[r], y);
    for (const auto& [node, box] : boxes_) edges_to(tape_[node], box);
    return {right_ + kAcross + kGap, y, lines_ + shapes_};
  }

 private:
  /// Below all operations whose results it reads.
  void place_in_row(const Node& n) {
    std::size_t row = 0;
    for (std::size_t i = 0; i < n.inputs(); ++i)
      if (const auto from = n.input(i).node(); from && !tape_[*from].is_leaf())
        row = std::max(row, row_of_.at(*from) + 1);
    row_of_[n.index()] = row;
    rows_.resize(std::max(rows_.size(), row + 1));
    rows_[row].push_back(n.index());
  }

  std::string leaf_text(const Node& n) const {
    const std::uint64_t id = n.parameter();
    const auto named = std::ranges::find_if(names_.parameters, [&](const auto& p) { return p.first == id; });
    const std::string name = id == 0                            ? "watched"
                             : named == names_.parameters.end() ? "parameter"
                                                                : named->second;
    return fmt::format("{} {}", name, n.type_text());
  }
  std::string input_text(const Input& input, std::size_t reader) const {
    if (input.node()) return leaf_text(tape_[*input.node()]);
    const TapeNames::Constant* named = nullptr;
    for (const TapeNames::Constant& c : names_.constants)
      if (c.like.shape() == input.shape() && c.like.dtype() == input.dtype() && c.from <= reader &&
          (!named || named->from < c.from))
        named = &c;
    return fmt::format("{} {}", named ? named->name : "constant", input.type_text());
  }
  static std::string title(const Node& n) {
    return n.scope().empty() ? std::string(n.op()) : fmt::format("{}: {}", n.scope(), n.op());
  }
  static double width_of(const Node& n) {
    constexpr double kBold = 1.1;  // the title is
    return std::max(kBold * text_width(title(n), kFont), text_width(n.type_text(), kFont)) + 20;
  }
  /// Whether an input gets a box beside this operation: constants always, leaves with their first reader.
  bool beside(const Input& input, std::set<std::size_t>& drawn) const {
    if (!input.given()) return false;
    const auto from = input.node();
    return !from || (tape_[*from].is_leaf() && drawn.insert(*from).second);
  }

  void measure() {
    std::set<std::size_t> drawn;
    for (const auto& row : rows_) {
      double width = 0;
      for (const std::size_t index : row) {
        const Node n = tape_[index];
        width += width_of(n) + kAcross;
        for (std::size_t i = 0; i < n.inputs(); ++i)
          if (beside(n.input(i), drawn))
            leaf_width_ = std::max(leaf_width_, text_width(input_text(n.input(i), index), kFont) + 16);
      }
      widest_ = std::max(widest_, width - kAcross);
    }
    right_ = kGap + leaf_width_ + kAcross + widest_;
  }

  /// Places the row's operations, and left of them what they alone read. Returns where the next row starts.
  double lay_out(const std::vector<std::size_t>& row, double y) {
    double width = -kAcross;
    std::vector<std::pair<std::size_t, Input>> leaves;  ///< who reads each of them
    for (const std::size_t index : row) {
      const Node n = tape_[index];
      width += width_of(n) + kAcross;
      for (std::size_t i = 0; i < n.inputs(); ++i)
        if (beside(n.input(i), placed_)) leaves.emplace_back(index, n.input(i));
    }
    const double step = kLeafHeight + 6;
    const double height = std::max(kBoxHeight, step * static_cast<double>(leaves.size()) - 6);
    double x = kGap + leaf_width_ + kAcross + (widest_ - width) / 2;
    for (const std::size_t index : row) {
      const Node n = tape_[index];
      const Box box{x, y + (height - kBoxHeight) / 2, width_of(n), kBoxHeight};
      boxes_.emplace(index, box);
      x += box.width + kAcross;
      rectangle(box, kOperationFill, kBoxHeight / 3, "");
      shapes_ += text(box.middle(), box.y + 16, title(n), kFont, "middle", "font-weight=\"bold\"");
      shapes_ += text(box.middle(), box.y + 31, n.type_text(), kFont, "middle");
    }
    double at = y + (height - (step * static_cast<double>(leaves.size()) - 6)) / 2;
    for (const auto& [reader, input] : leaves) {
      const auto leaf = input.node();
      const Box box{kGap, at, leaf_width_, kLeafHeight};
      at += step;
      rectangle(box, leaf ? kLeafFill : kPaper, 2, leaf ? "" : "stroke-dasharray=\"4 3\"");
      shapes_ += text(box.middle(), box.y + 15, input_text(input, reader), kFont, "middle");
      if (leaf)
        leaf_boxes_.emplace(*leaf, box);
      else
        sideways(box, boxes_.at(reader));
    }
    return y + height + kGap;
  }

  void edges_to(const Node& n, const Box& to) {
    const std::size_t row = row_of_.at(n.index());
    for (std::size_t i = 0; i < n.inputs(); ++i) {
      const auto from = n.input(i).node();
      if (!from) continue;
      const bool leaf = tape_[*from].is_leaf();
      if (leaf && rows_[row].front() != n.index())
        over(leaf_boxes_.at(*from), to);
      else if (leaf)
        sideways(leaf_boxes_.at(*from), to);
      else
        downwards(boxes_.at(*from), to, row - row_of_.at(*from) > 1);
    }
  }

  void sideways(const Box& from, const Box& to) {
    const double y0 = from.y + from.height / 2;
    const double y1 = to.y + to.height / 2;
    const double bend = (to.x - from.right()) / 2;
    arrow(fmt::format("M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}", from.right(), y0,
                      from.right() + bend, y0, to.x - bend, y1, to.x - 5, y1),
          fmt::format("M{:.1f} {:.1f}l-7 -3.5v7Z", to.x, y1));
  }
  /// Over the operations that stand before this one in its row.
  void over(const Box& from, const Box& to) {
    arrow(fmt::format("M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}", from.right(),
                      from.y + from.height / 2, from.right() + kAcross, to.y - kGap, to.middle(),
                      to.y - 2 * kGap, to.middle(), to.y - 5),
          fmt::format("M{:.1f} {:.1f}l-3.5 -7h7Z", to.middle(), to.y));
  }
  /// Past the operations in between where it skips rows.
  void downwards(const Box& from, const Box& to, bool skips) {
    const std::string head = fmt::format("M{:.1f} {:.1f}l-3.5 -7h7Z", to.middle(), to.y);
    if (!skips) {
      const double bend = (to.y - from.bottom()) / 2;
      arrow(fmt::format("M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}", from.middle(),
                        from.bottom(), from.middle(), from.bottom() + bend, to.middle(), to.y - bend,
                        to.middle(), to.y - 5),
            head);
      return;
    }
    const double side = right_ + kAcross / 2;
    arrow(fmt::format("M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}", from.right(),
                      from.y + from.height / 2, side + kAcross / 2, from.bottom(), side + kAcross / 2, to.y,
                      to.right() + 5, to.y + to.height / 2),
          fmt::format("M{:.1f} {:.1f}l7 -3.5v7Z", to.right(), to.y + to.height / 2));
  }
  void arrow(const std::string& line, const std::string& head) {
    lines_ += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\"/>\n<path d=\"{}\" fill=\"{}\"/>\n",
                          line, kQuietInk, head, kQuietInk);
  }
  void rectangle(const Box& b, const char* fill, double radius, const char* more) {
    shapes_ += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"{:.1f}\" fill=\"{}\" "
        "stroke=\"{}\" {}/>\n",
        b.x, b.y, b.width, b.height, radius, fill, kQuietInk, more);
  }

  TapeView tape_;
  const TapeNames& names_;
  // Nodes by their positions on the tape.
  std::map<std::size_t, std::size_t> row_of_;
  std::vector<std::vector<std::size_t>> rows_;
  double leaf_width_ = 0;
  double widest_ = 0;
  double right_ = 0;  ///< of the widest row
  std::map<std::size_t, Box> boxes_;
  std::map<std::size_t, Box> leaf_boxes_;
  std::set<std::size_t> placed_;
  std::string lines_;
  std::string shapes_;
};

}  // namespace

Picture draw_tape(const Tape& tape, const TapeNames& names) { return Drawing(tape, names).draw(); }

}  // namespace tapegrad::plot
