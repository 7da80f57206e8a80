"""Tests that cost most, of which `make test` runs some cases or none; `make test-all` runs them all.

By file and function: 0 where only `make test-all` runs it, else one in so many of its cases, the first among them. What
refuses or repairs is sampled where its cases are listed (`sampling.py`), so that each reason is met at least once.
"""

from __future__ import annotations

LONG_TESTS: dict[str, dict[str, int]] = {
    "benchmark/test_shipped_models.py": {
        "test_a_real_ct_runs_through_every_model_and_is_called_outside": 4,
        "test_a_real_record_with_a_virtual_scan_is_called_fabricated": 0,
        "test_the_high_risk_demo_patient_outranks_the_low_risk_one": 4,
    },
    "case/test_descriptions.py": {
        "test_a_name_among_the_words_of_a_code_is_shown_nowhere": 4,
        "test_words_of_vocabularies_stay": 4,
    },
    "compute/test_device.py": {
        "test_a_review_on_the_device_is_the_review_on_the_cpu": 4,
        "test_every_stepwise_method_on_the_device": 4,
        "test_fine_tuning_on_the_device": 0,
        "test_maps_in_mixed_precision_are_like_the_maps_in_full": 3,
        "test_pretraining_of_the_ct_encoder_on_the_device": 0,
        "test_training_on_the_device_is_training_on_the_cpu": 4,
    },
    "encode/test_ct.py": {
        "test_planted_point_appears_at_its_world_position": 4,
    },
    "events/test_standard_codes.py": {
        "test_a_real_record_gives_event_attributions": 0,
        "test_a_record_without_a_known_code_is_said_in_words": 0,
    },
    "explain/test_saliency.py": {
        "test_a_slice_alone_is_the_slice_in_the_study_and_runs_repeat_bit_for_bit": 4,
        "test_every_method_peaks_on_the_planted_block_and_not_without_it": 4,
        "test_the_map_is_another_once_the_weights_are_random": 4,
    },
    "export/test_export.py": {
        "test_the_same_review_gives_the_same_bytes": 3,
    },
    "intake/files/test_packed.py": {
        "test_a_file_read_while_it_is_unpacked_comes_to_the_same": 4,
        "test_one_volume_in_memory_while_a_packed_file_is_read": 0,
        "test_what_must_be_held_beside_the_volume_is_limited": 0,
    },
    "intake/files/test_sources.py": {
        "test_the_limit_is_stated_and_not_what_is_left_of_it": 4,
    },
    "intake/files/test_zip.py": {
        "test_a_bomb_of_any_method_is_stopped_while_it_unpacks": 4,
        "test_bombs_in_archives_in_an_archive_count_against_the_file_that_was_handed_over": 0,
        "test_every_range_equals_the_standard_library": 4,
    },
    "intake/identifiers/pictures/test_burned_in.py": {
        "test_boxes_never_repeat_what_they_read": 0,
        "test_text_that_moves_from_slice_to_slice_is_found_on_the_middle_one": 0,
    },
    "intake/identifiers/pictures/test_colours.py": {
        "test_colours_written_without_compression_are_read_by_others": 4,
    },
    "intake/identifiers/pictures/test_line_detection.py": {
        "test_small_dark_faint_and_vertical_text_on_one_slice_is_found_there": 4,
    },
    "intake/identifiers/pictures/test_series.py": {
        "test_a_document_among_the_slices_goes_and_its_text_blanks_nothing": 0,
        "test_a_place_with_text_is_air_on_every_slice_and_the_rest_is_unchanged": 3,
        "test_text_in_coronal_and_sagittal_slices_of_a_nifti_volume_is_blanked": 0,
        "test_text_that_differs_in_colour_only_is_blanked": 3,
    },
    "intake/identifiers/test_deidentify.py": {
        "test_compressions_younger_than_the_dictionary_come_out_bit_for_bit": 3,
    },
    "intake/identifiers/test_identifiers.py": {
        "test_fake_identifiers_of_real_files_are_found": 3,
    },
    "intake/identifiers/text/test_unknown_words.py": {
        "test_hardly_any_name_of_the_world_passes": 0,
    },
    "intake/identifiers/text/test_vocabulary.py": {
        "test_a_long_text_without_spaces_is_searched_in_a_moment": 4,
    },
    "intake/identifiers/where/test_containers.py": {
        "test_noise_in_many_packed_files_is_searched_within_a_bound_that_is_said": 0,
    },
    "intake/identifiers/where/test_pixel_bytes.py": {
        "test_classes_of_makers_stay_and_numbers_in_classes_go": 4,
    },
    "intake/identifiers/where/test_tables.py": {
        "test_text_far_inside_another_file_is_found_and_what_is_not_searched_is_said": 0,
    },
    "intake/pacs/test_client.py": {
        "test_a_server_that_falls_silent": 3,
        "test_a_server_that_restarts_while_loading_is_waited_for": 0,
        "test_hostile_multipart_gives_the_image_or_a_refusal": 0,
        "test_the_form_tells_refusals_and_keeps_nothing": 0,
    },
    "intake/pacs/test_servers.py": {
        "test_slow_images_one_after_the_other_are_progress": 0,
        "test_unusual_messages_with_the_right_image": 4,
    },
    "intake/pacs/test_tls.py": {
        "test_a_series_comes_through_encryption_as_it_is": 0,
    },
    "intake/record/checks/test_doubted.py": {
        "test_a_word_in_a_column_of_numbers_is_counted": 4,
    },
    "intake/record/columns/test_clocks.py": {
        "test_times_of_day_as_people_write_them": 4,
    },
    "intake/record/columns/test_unknown.py": {
        "test_patients_under_an_unknown_name_are_asked_about_not_merged": 4,
    },
    "intake/record/fhir/test_oracle.py": {
        "test_generated_bundles_give_what_the_library_s_objects_tell": 0,
        "test_real_bundles_give_what_the_library_s_objects_tell": 3,
    },
    "intake/record/omop/test_doubted.py": {
        "test_an_end_before_the_start_is_said": 4,
    },
    "intake/record/tables/test_encodings.py": {
        "test_texts_survive_with_the_right_answer": 0,
    },
    "intake/record/test_cohort_columns.py": {
        "test_facts_of_long_records_are_kept_in_both": 4,
        "test_sequences_equal_those_of_each_timeline": 4,
        "test_statistics_that_cannot_be_decoded_are_refused": 0,
    },
    "intake/record/test_corpus.py": {
        "test_every_format_gives_back_what_was_written": 0,
    },
    "intake/record/test_written.py": {
        "test_a_table_without_rows_is_no_fault": 4,
    },
    "intake/scan/checks/test_regions.py": {
        "test_contrast_that_arrives_little_by_little_is_no_other_phase": 0,
    },
    "intake/scan/checks/test_rows_columns.py": {
        "test_real_scans_are_out_of_order_only_where_they_were_made_so": 4,
    },
    "intake/scan/checks/test_shifts.py": {
        "test_real_scans_are_shifted_only_where_they_were_made_so": 4,
    },
    "intake/scan/dicom/test_acquisitions.py": {
        "test_ordinary_series_are_read_whatever_their_numbers_and_times": 4,
    },
    "intake/scan/dicom/test_dicom.py": {
        "test_series_is_read_right": 4,
    },
    "intake/scan/test_real.py": {
        "test_real_series_agrees_with_simpleitk": 3,
    },
    "intake/scan/test_speed.py": {
        "test_a_reader_that_shares_headers_agrees_with_one_that_reads_each_file_alone": 0,
        "test_one_volume_in_memory_while_a_folder_is_read": 0,
        "test_two_volumes_in_memory_while_a_series_is_repaired": 0,
    },
    "intake/test_long_texts.py": {
        "test_a_long_text_is_read_in_a_moment": 4,
    },
    "pages/test_load.py": {
        "test_a_demo_takes_the_own_case_and_its_files_away": 0,
        "test_a_gap_is_refused_and_repaired_only_by_choice": 0,
        "test_case_review_reads_on_and_says_what_the_files_wait_for": 0,
        "test_texts_that_no_vocabulary_knows_are_asked_about": 0,
        "test_what_became_of_the_texts_of_an_open_case_is_said": 0,
        "test_what_stripping_did_is_said_before_the_case_is_opened": 3,
    },
    "pages/test_load_again.py": {
        "test_a_refused_volume_is_not_said_to_have_no_slice_and_gets_its_picture_once_read": 0,
        "test_a_repair_is_undone_without_the_files_being_handed_over_again": 0,
    },
    "pages/test_pacs.py": {
        "test_a_search_ends_with_what_it_is_for": 0,
        "test_a_search_of_a_silent_server_is_watched_and_cancelled_at_once": 0,
    },
    "pretrain/test_ct_findings.py": {
        "test_planted_clots_are_read_by_a_linear_probe": 0,
    },
    "quality/test_assess.py": {
        "test_a_small_cohort_calls_few_of_its_own_kind_unlike_it_and_still_tells_what_is_far_off": 4,
    },
    "quality/test_perturbed.py": {
        "test_a_scanned_circle_that_cuts_the_lungs_is_outside": 4,
        "test_exchanged_axes_are_outside": 4,
        "test_the_scale_is_judged_by_air_fat_and_tissue_together": 4,
    },
    "quality/test_scan.py": {
        "test_virtual_patients_raise_no_alarm_and_flips_of_them_do": 4,
    },
    "survive/metrics/test_concordance.py": {
        "test_the_interval_covers_the_true_concordance": 0,
    },
    "survive/test_given_risk.py": {
        "test_the_inner_band_holds_the_mean_truth_of_those_given_about_this_risk": 3,
    },
    "test_cli.py": {
        "test_an_impossible_choice_is_one_line": 3,
    },
    "test_new_parts.py": {
        "test_saliency_lies_on_the_planted_block": 4,
    },
    "test_review.py": {
        "test_a_curve_of_a_patient_who_had_died_is_marked": 4,
        "test_a_risk_that_patients_given_it_did_not_bear_out_is_said": 4,
        "test_whatever_mode_the_caller_is_in_the_result_is_the_same": 4,
    },
    "train/test_fit.py": {
        "test_every_fusion_learns_what_it_can_read": 4,
        "test_other_heads_rank_and_are_calibrated": 0,
        "test_record_selects_region_needs_attention_over_tokens": 0,
        "test_scans_of_a_cohort_train_with_a_given_encoder_and_predict": 0,
    },
    "virtual/test_outcome.py": {
        "test_concordance_of_the_true_parts": 0,
        "test_true_survival_is_what_kaplan_meier_finds": 4,
    },
    "virtual/test_records.py": {
        "test_shape_of_a_timeline": 4,
    },
    "virtual/test_render.py": {
        "test_least_calcium_is_still_visible": 0,
        "test_no_findings_leave_no_disease_label": 0,
        "test_nodule_stands_in_its_zone": 4,
        "test_trunk_reaches_the_asked_diameter": 3,
    },
}
