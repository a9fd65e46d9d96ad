# The letters of plots: Open Sans (Apache-2.0, digitized data copyright 2010-2011 Google
# Corporation), cut to the characters that plots use. kvfile/plot/picture_text.cc reads them.
  .section .rodata
  .global kvcs_plot_regular, kvcs_plot_regular_end, kvcs_plot_semibold, kvcs_plot_semibold_end
kvcs_plot_regular:
  .incbin "src/kvfile/plot/plot_regular.ttf"
kvcs_plot_regular_end:
kvcs_plot_semibold:
  .incbin "src/kvfile/plot/plot_semibold.ttf"
kvcs_plot_semibold_end:
  .section .note.GNU-stack, "", @progbits
