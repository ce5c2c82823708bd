"""The reading of machine code: loops, what belongs to them, and the mix of their instructions."""

from collections import Counter

from benchmarks.gpu_report.machine_code.sass import parse_sass

LISTING = """
.text.nested:
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_outer:
        /*0010*/                   LDG.E.128.CONSTANT R4, [R2.64] ;
        /*0020*/                   LDG.E.U16 R5, [R2.64+0x10] ;
.L_inner:
        /*0030*/                   MUFU.EX2 R6, R6 ;
        /*0040*/              @!P0 FFMA R7, R6, R6, R7 ;
        /*0050*/                   FFMA2 R8, R6, R6, R8 ;
        /*0060*/               @P1 BRA `(.L_inner) ;
        /*0070*/              @!P2 BRA `(.L_cold) ;
.L_back:
        /*0080*/                   FADD R7, R7, R4 ;
        /*0090*/                   BRA.U UP0, `(.L_outer) ;
        /*00a0*/                   EXIT ;
.L_cold:
        /*00b0*/                   LDS.64 R6, [R3] ;
        /*00c0*/                   BRA `(.L_back) ;
.L_trap:
        /*00d0*/                   BRA `(.L_trap);
        /*00e0*/                   NOP;
"""


def test_loops_nest_and_blocks_out_of_line_belong_to_their_loop():
    code = parse_sass(LISTING)["nested"]
    outer, inner = code.loops()
    assert (outer.start, outer.depth, outer.is_innermost) == (0x10, 0, False)
    assert (inner.start, inner.end, inner.depth, inner.is_innermost) == (0x30, 0x60, 1, True)
    assert (inner.mix.special, inner.mix.fp32, inner.mix.total) == (1, 3, 4)
    assert outer.mix.widths("LDG") == Counter({16: 1, 2: 1})
    assert outer.mix.widths("LDS") == Counter({8: 1})
    assert outer.mix.fp32 == 1
    assert code.mix.total == 14


LOOP = """
	.text.kernel:
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_0:
        /*0010*/                   LDG.E.128 R4, [R2.64] ;
        /*0020*/              @P0 BRA `(.L_x_1) ;
        /*0030*/                   FFMA.SAT R4, R5, R6, R7 ;
        /*0040*/                   MUFU.RCP R4, R4 ;
        /*0050*/                   BRA `(.L_x_2) ;
.L_x_1:
        /*0060*/                   MUFU.EX2 R4, R4 ;
.L_x_2:
        /*0070*/                   FADD R8, R8, R4 ;
        /*0080*/              @P1 BRA `(.L_x_0) ;
        /*0090*/                   EXIT ;
"""


def test_the_hot_loop_leaves_out_branches_that_pass_no_marked_instruction():
    code = parse_sass(LOOP)["kernel"]
    mix = code.hot_loop(".SAT")
    assert (mix.special, mix.fp32, mix.count("LDG")) == (1, 2, 1)
    assert code.loops()[0].mix.special == 2
    assert code.hot_loop("HMMA") is None


def test_the_rare_form_of_what_is_marked_is_left_out_where_there_is_another():
    text = LOOP.replace("FFMA.SAT R4, R5, R6, R7", "FMNMX.NAN R4, R5, R6").replace(
        "        /*0060*/                   MUFU.EX2 R4, R4 ;\n",
        "        /*0060*/                   MUFU.EX2 R4, R4 ;\n        /*0064*/   FMNMX.NAN R4, R4, R6 ;\n",
    )
    code = parse_sass(text)["kernel"]
    both, usual = code.hot_loop("FMNMX.NAN"), code.hot_loop("FMNMX.NAN", "MUFU.EX2")
    assert (both.count_of("FMNMX.NAN"), both.special) == (2, 2)
    assert (usual.count_of("FMNMX.NAN"), usual.special, usual.count("LDG")) == (1, 1, 1)
    only = parse_sass(text.replace("/*0030*/                   FMNMX.NAN", "/*0030*/                   FADD"))["kernel"]
    assert only.hot_loop("FMNMX.NAN", "MUFU.EX2").special == 1


def test_a_jump_written_as_a_call_leaves_the_loop():
    text = LOOP.replace("@P1 BRA `(.L_x_0)", "@P1 CALL.REL.NOINC `(.L_x_3)").replace(
        "        /*0090*/                   EXIT ;",
        "        /*0090*/   BRA `(.L_x_0) ;\n.L_x_3:\n        /*00a0*/   EXIT ;",
    )
    assert [loop.mix.special for loop in parse_sass(text)["kernel"].loops()] == [2]


def test_a_detour_of_diverged_warps_belongs_to_no_loop():
    text = LOOP.replace(
        "        /*0070*/ ", "        /*0068*/   BRA.DIV ~URZ, `(.L_x_3) ;\n.L_x_4:\n        /*0070*/ "
    ).replace(
        "        /*0090*/                   EXIT ;",
        "        /*0090*/   EXIT ;\n.L_x_3:\n        /*00a0*/   FADD R1, R1, R1 ;\n        /*00b0*/   BRA `(.L_x_4) ;",
    )
    code = parse_sass(text)["kernel"]
    assert (code.hot_loop(".SAT").special, code.hot_loop(".SAT").fp32) == (1, 2)
    assert [loop.mix.special for loop in code.loops()] == [2]
